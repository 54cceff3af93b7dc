"""A run from end to end: opened, asked, written down, summed up, judged, and read again."""
