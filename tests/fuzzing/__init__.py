"""What tests/fuzz.py tries, a file for each field."""
