"""The web pages: templates and one style sheet. Nothing from elsewhere, no script needed."""
