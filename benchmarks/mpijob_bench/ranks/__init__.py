"""What runs on the ranks. Each module is a program; they tell the launcher by lines of JSON."""
