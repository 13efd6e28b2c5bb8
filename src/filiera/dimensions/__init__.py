"""What changed, and what must follow: code, data and model settings; the plan and its execution."""
