"""Pure work on text: language, Markdown, and the one place that cleans it."""
