"""What a comparison measured, as files: report.json, CSV, Markdown and a page with plots."""
