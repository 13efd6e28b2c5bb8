"""Where work runs: child processes of this machine; each task gets mapped inputs and gives values back."""
