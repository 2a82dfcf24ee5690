"""Colors and line styles that color-blind readers can tell apart (Okabe and Ito 2008), and new Axes."""

TRUTH, PREDICTION = "#E69F00", "#56B4E9"  # orange and sky blue: both stand out on gray
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":")
REFERENCE = {"color": "0.5", "linestyle": ":", "linewidth": 1}  # of a line that is no result: chance, identity


def axes_or_new(ax):
    """`ax` itself, or for None the Axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # here, because the import takes half a second

    return plt.subplots(layout="constrained")[1]


def figure_or_new(figure):
    """`figure` itself, or for None a new one."""
    if figure is not None:
        return figure
    import matplotlib.pyplot as plt

    return plt.figure()
