"""What runs inside the zygotes: standard library only.

A zygote starts from ``start.py`` and knows this package by the name ``jail`` alone, so that it
works from a checkout, from an installed wheel, and with site-packages hidden. Of all this, the
harness process itself uses only the framing of messages.
"""
