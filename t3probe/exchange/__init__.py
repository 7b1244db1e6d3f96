"""What is read from others and given to them: HTTP, served connections, files, and their bounds."""
