"""Questions asked afterwards: explain, forensics, and the MCP server."""
