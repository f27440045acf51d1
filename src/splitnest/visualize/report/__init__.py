"""Self-contained HTML pages of tables, charts and pictures, for light and dark screens of any width."""
