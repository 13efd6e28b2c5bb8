"""The HTTP face: a thin layer over the workspace. The only place that knows async and the web framework."""
