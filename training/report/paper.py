"""The paper's figures, in per cent, on IEMOCAP (acted) and a call centre's calls (spontaneous)."""

from model.labels import Style

# Table 3, mean over the two styles: (system, share of the training utterances) -> (UA, WA).
OVERALL = {
    ("baseline", 1.0): (59.83, 62.08),
    ("combined", 1.0): (60.13, 63.09),
    ("combined", 0.5): (60.32, 60.06),
    ("mtl", 1.0): (60.48, 63.21),
    ("mtl", 0.5): (61.13, 60.99),
    ("selective-mtl", 1.0): (62.68, 65.15),
    ("selective-mtl", 0.5): (61.06, 62.06),
}

# Tables 4 and 5: recall of anger, happiness, sadness and neutral (as in EMOTIONS), UA, WA.
BY_STYLE = {
    Style.ACTED: {
        "baseline": (56.82, 48.82, 72.14, 44.82, 55.65, 54.57),
        "combined": (55.38, 52.72, 68.44, 45.90, 55.61, 54.48),
        "mtl": (53.14, 53.55, 66.82, 44.31, 54.45, 53.14),
        "selective-mtl": (44.77, 64.42, 76.76, 51.92, 59.47, 56.87),
    },
    Style.SPONTANEOUS: {
        "baseline": (82.93, 71.46, 31.39, 53.65, 59.96, 67.17),
        "combined": (84.35, 65.98, 30.06, 60.30, 60.17, 68.93),
        "mtl": (85.08, 67.01, 33.96, 61.10, 61.79, 70.04),
        "selective-mtl": (89.14, 67.12, 20.95, 61.75, 59.74, 70.76),
    },
}

# The systems of others with which the paper compares itself in table 4, as it quotes them: acted
# speech, audio alone, IEMOCAP; None where it gives no figure. The columns are those above.
QUOTED = {
    "Ghosh et al. 2016": (53.58, 36.98, 64.27, 52.63, 51.86, 50.47),
    "Feng et al. 2020": (None, None, None, None, 57.0, 55.7),
    "Chenchah et al. 2014": (None, None, None, None, None, 50.06),
}

STYLE_ACCURACY = 99.95  # at the least (section 4.5)
