"""What a user's files hold, the configuration that fits them, and what it will cost."""
