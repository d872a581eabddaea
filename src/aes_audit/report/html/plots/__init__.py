"""The plots of the page: SVG that follows the reader's colours, with its numbers as a table."""
