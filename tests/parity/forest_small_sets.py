"""The table of weather and golf from which ID3 was first explained (J. R. Quinlan, "Induction of decision trees", Machine Learning 1,
1986): one tree over categories only must tell all its rows apart, as chefboost's does.

Usage: forest_small_sets.py PACELINE_BINARY SCRATCH_DIRECTORY
"""

import sys
from itertools import islice
from pathlib import Path

import pandas as pd
from comparison import Forest

COLUMNS = ["outlook", "temperature", "humidity", "wind", "target"]
OUTLOOKS, TEMPERATURES = {"s": "sunny", "o": "overcast", "r": "rain"}, {"h": "hot", "m": "mild", "c": "cool"}
HUMIDITIES, WINDS, DECISIONS = {"h": "high", "n": "normal"}, {"w": "weak", "s": "strong"}, {"n": "no", "y": "yes"}
# A letter for each column of each day.
DAYS = "shhwn shhsn ohhwy rmhwy rcnwy rcnsn ocnsy smhwn scnwy rmnwy smnsy omhsy ohnwy rmhsn".split()
# A single tree as ID3 grows it: all rows, all columns at every split.
ONE_TREE = ("--trees", 1, "--no-bootstrap", "--max-features", "all")


def main(paceline: str, scratch: Path) -> None:
    meanings = [OUTLOOKS, TEMPERATURES, HUMIDITIES, WINDS, DECISIONS]
    rows = [[meaning[letter] for meaning, letter in zip(meanings, day, strict=True)] for day in DAYS]
    golf = pd.DataFrame(rows, columns=COLUMNS)
    assert golf["target"].value_counts().to_dict() == {"yes": 9, "no": 5}
    predicted = Forest(paceline, scratch, *ONE_TREE).fit(golf, 0).predict(golf.drop(columns="target"))["prediction"]
    wrong = list(islice((day for day, (said, true) in enumerate(zip(predicted, golf["target"])) if said != true), 5))
    print(f"golf: {len(golf)} days, wrong ones {wrong}")
    assert not wrong


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
