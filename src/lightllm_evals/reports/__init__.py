"""What people read of a run: its tables and its progress line."""
