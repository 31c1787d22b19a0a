"""Pictures and text of results that serve more than one experiment: galleries, histograms, the style of figures.

A figure of one experiment stands with it, as its `figures` module; the page for a browser is in `page`. Functions take
arrays or rows and return a matplotlib figure or text; `figures.write_figure` writes one.
"""
