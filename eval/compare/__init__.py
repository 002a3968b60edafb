"""Two systems or more side by side: tests, pages, and votes of people."""
