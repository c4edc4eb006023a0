"""One HTML file, a summary and tables of a directory of results."""
