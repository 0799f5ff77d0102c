"""The management API as the documents describe it: paths, headers, bodies, status codes."""
