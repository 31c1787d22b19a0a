"""Figures and texts that several experiments share: galleries, histograms, summaries, the style of figures.

Figures of a single experiment are in its own `figures` module; the HTML page is in `page`. To add a figure, write a
function that takes arrays or rows and returns a matplotlib figure, decorated by `figures.styled`;
`figures.write_figure` saves it.
"""
