"""What people read: summary, page, Markdown, annotations, the comparison of two runs."""
