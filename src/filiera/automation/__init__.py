"""What runs by itself: events mark the project as due, the plan says what is due, a policy says what may run."""
