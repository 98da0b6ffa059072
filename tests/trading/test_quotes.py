"""Tables of quotes: formats, spellings, and what is said about cells that cannot be read."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpujax.errors import DataError, InputError
from gpujax.trading import Chain, QuoteFlag
from gpujax.trading.flags import has_flag

TABLE = """time,expiry,strike,right,bid,bid_size,ask,ask_size,underlying_mid
2015-12-24T10:30:00,2016-01-15,750,C,10.1,3,10.5,7,751.25
2015-12-24T10:30:00,2016-01-15,750,P,9.0,2,,0,751.25
2015-12-24T10:31:00,2016-01-15,752.5,C,,0,9.4,1,751.5
2015-12-24T10:31:00,2016-01-22,700,put,1.05,4,1.2,9,
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="quotes.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


def check(chain):
    assert len(chain) == 4
    assert chain.expiry.astype(str).tolist() == ["2016-01-15"] * 3 + ["2016-01-22"]
    assert chain.is_call.tolist() == [True, False, True, False]
    np.testing.assert_array_equal(chain.strike, [750.0, 750.0, 752.5, 700.0])
    np.testing.assert_array_equal(chain.bid, [10.1, 9.0, np.nan, 1.05])
    np.testing.assert_array_equal(chain.ask, [10.5, np.nan, 9.4, 1.2])
    np.testing.assert_array_equal(chain.bid_size, [3.0, 2.0, 0.0, 4.0])
    np.testing.assert_array_equal(chain.underlying, [751.25, 751.25, 751.5, np.nan])
    np.testing.assert_array_equal(chain.time[[0, 2]], np.array(["2015-12-24T15:30", "2015-12-24T15:31"], "M8[ns]"))
    assert chain.snapshot.tolist() == [0, 0, 1, 1]
    assert has_flag(chain.flags, QuoteFlag.NO_BID).tolist() == [False, False, True, False]
    assert has_flag(chain.flags, QuoteFlag.NO_ASK).tolist() == [False, True, False, False]
    assert has_flag(chain.flags, QuoteFlag.NO_UNDERLYING).tolist() == [False, False, False, True]


def test_csv(write):
    check(Chain.from_csv(write(TABLE)))


def test_csv_variants(write):
    check(Chain.from_csv(write(gzip.compress(TABLE.encode()), "quotes.csv.gz")))
    check(Chain.from_csv(write(TABLE.replace(",", ";"))))
    check(Chain.from_csv(write(TABLE.replace(",", "\t"), "quotes.tsv")))
    check(Chain.from_csv(write("\ufeff" + TABLE.replace("\n", "\r\n"))))
    check(Chain.from_csv(write(TABLE.rstrip("\n"))))
    check(
        Chain.from_csv(
            write(TABLE.replace("right", "Option Type").replace("bid,", "Bid-Price,").replace("expiry", "EXDATE"))
        )
    )
    check(
        Chain.from_csv(
            write(TABLE.replace("strike", "x1").replace("time", "x2")), columns={"strike": "x1", "time": "x2"}
        )
    )


def test_frames_and_arrays(write, tmp_path):
    frame = pd.read_csv(write(TABLE))
    check(Chain.from_frame(frame))
    check(Chain.from_frame(frame.assign(time=pd.to_datetime(frame.time), expiry=pd.to_datetime(frame.expiry))))
    zoned = pd.to_datetime(frame.time).dt.tz_localize("America/New_York")
    check(Chain.from_frame(frame.assign(time=zoned)))
    check(Chain.from_frame(frame.assign(time=zoned.dt.tz_convert("Asia/Tokyo"))))
    check(Chain.from_frame(frame.assign(right=frame.right.astype("category"))))
    check(Chain.from_frame({name: frame[name].to_numpy() for name in frame}))
    check(Chain.from_frame(pa.table({name: pa.array(frame[name], from_pandas=True) for name in frame})))

    class Foreign:  # what polars and other libraries offer
        def __arrow_c_stream__(self, requested_schema=None):
            views = {"right": pa.array(frame.right).cast(pa.string_view()).dictionary_encode()}
            columns = {name: views.get(name, pa.array(frame[name], from_pandas=True)) for name in frame}
            return pa.table(columns).__arrow_c_stream__(requested_schema)

    check(Chain.from_frame(Foreign()))
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "quotes.parquet")
    check(Chain.from_parquet(tmp_path / "quotes.parquet"))
    with pytest.raises(InputError, match="list; expected a pandas or polars DataFrame"):
        Chain.from_frame([1, 2])


def test_symbols_in_place_of_columns(write):
    chain = Chain.from_csv(
        write("option_symbol,bid,ask,quote_time\nAAPL240503P00155000,0.32,0.35,2024-04-25T16:00:00-04:00\n")
    )
    assert (chain.root[0], chain.strike[0], chain.is_call[0]) == ("AAPL", 155.0, False)
    assert chain.time[0] == np.datetime64("2024-04-25T20:00")
    both = "symbol,expiry,strike,right,bid,ask,underlying\n{},2024-05-03,155,P,0.32,0.35,{}\n"
    assert Chain.from_csv(write(both.format("AAPL240503P00155000", "169.7"))).root[0] == "AAPL"
    assert Chain.from_csv(write(both.format("AAPL", "169.7"))).root[0] == "AAPL"
    # "underlying" is a price in some files and a ticker in others
    ticker = Chain.from_csv(write("underlying,expiry,strike,right,bid,ask,spot\nAAPL,2024-05-03,155,P,0.3,0.4,169.7\n"))
    assert (ticker.root[0], ticker.underlying[0]) == ("AAPL", 169.7)


def test_constants(write):
    text = "expiry,strike,right,bid,ask\n2024-05-03,155,P,0.32,0.35\n"
    chain = Chain.from_csv(write(text), time="2024-04-25T16:00", underlying=169.74, root="AAPL")
    assert (chain.root[0], chain.underlying[0], str(chain.time[0])[:16]) == ("AAPL", 169.74, "2024-04-25T20:00")
    assert chain.flags[0] == 0
    bare = Chain.from_csv(write(text))
    assert QuoteFlag.NO_TIME & int(bare.flags[0])
    with pytest.raises(InputError, match="time: given both"):
        Chain.from_csv(
            write("when," + text.replace("\n2", "\n2024-04-25,2")), columns={"time": "when"}, time="2024-04-25"
        )


@pytest.mark.parametrize(
    ("old", "new", "row", "column", "cell"),
    [
        ("10.1", "1O.1", 1, "bid", "1O.1"),
        ("9.4", "-9.4", 3, "ask", "-9.4"),
        ("9.4", "inf", 3, "ask", "inf"),
        ("2016-01-22", "2016-02-30", 4, "expiry", "2016-02-30"),
        ("2016-01-22", "", 4, "expiry", "None"),
        ("752.5", "O", 3, "strike", "O"),
        ("700", "0", 4, "strike", "0"),
        (",put,", ",X,", 4, "right", "X"),
        ("2015-12-24T10:31:00,2016-01-15", "24.12.2015,2016-01-15", 3, "time", "24.12.2015"),
        ("751.5", "n.a", 3, "underlying_mid", "n.a"),
    ],
)
def test_bad_cells_are_named_or_flagged(write, old, new, row, column, cell):
    path = write(TABLE.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        Chain.from_csv(path)
    message = str(caught.value)
    assert f"{path}: row {row}, column {column!r}: {cell!r}" in message
    assert "errors='flag'" in message
    flagged = Chain.from_csv(path, errors="flag")
    marks = has_flag(flagged.flags, QuoteFlag.BAD_CELL | QuoteFlag.BAD_CONTRACT)
    assert marks.tolist() == [index + 1 == row for index in range(4)]
    is_contract = column in ("expiry", "strike", "right")
    assert has_flag(flagged.flags, QuoteFlag.BAD_CONTRACT).any() == is_contract


def test_bad_symbol_names_row_and_reason(write):
    path = write("symbol,bid,ask\nAAPL240503P00155000,1,2\nAAPL240231P00155000,1,2\n,1,2\n")
    with pytest.raises(
        DataError, match=r"row 2, column 'symbol': 'AAPL240231P00155000' is no OCC symbol: .*calendar.*2 such"
    ):
        Chain.from_csv(path)
    flagged = Chain.from_csv(path, errors="flag")
    assert has_flag(flagged.flags, QuoteFlag.BAD_CONTRACT).tolist() == [False, True, True]


def test_half_written_files(write, tmp_path):
    cut = TABLE[: TABLE.index("752.5") + 3]
    with pytest.raises(DataError, match=r"quotes.csv: row 3 \(line 4\) has 3 cells instead of 9.*half-written"):
        Chain.from_csv(write(cut))
    long = TABLE + "".join(TABLE.splitlines(keepends=True)[1:]) * 2000
    whole = gzip.compress(long.encode(), mtime=0)
    with pytest.raises(DataError, match=r"quotes.csv.gz: half-written: the compressed data end in row \d{3,}"):
        Chain.from_csv(write(whole[: len(whole) // 2], "quotes.csv.gz"))
    with pytest.raises(DataError, match=r"empty.csv: empty file"):
        Chain.from_csv(write("", "empty.csv"))
    with pytest.raises(DataError, match=r"noise.csv.gz: cannot be read"):
        Chain.from_csv(write(b"no gzip", "noise.csv.gz"))
    with pytest.raises(DataError, match=r"missing.csv: cannot be read"):
        Chain.from_csv(tmp_path / "missing.csv")
    pq.write_table(pa.table({"bid": [1.0] * 100}), tmp_path / "whole.parquet")
    with pytest.raises(DataError, match=r"half.parquet: not a complete Parquet file"):
        Chain.from_parquet(write((tmp_path / "whole.parquet").read_bytes()[:-20], "half.parquet"))
    with pytest.raises(DataError, match=r"missing.parquet"):
        Chain.from_parquet(tmp_path / "missing.parquet")


def test_columns_that_do_not_fit(write):
    with pytest.raises(DataError, match=r"no column for expiry, strike, right .*among 'a', 'b'"):
        Chain.from_csv(write("a,b\n1,2\n"))
    with pytest.raises(DataError, match="names 'bid' more than once"):
        Chain.from_csv(write("expiry,strike,right,bid,bid\n2024-05-03,155,P,1,1\n"))
    with pytest.raises(InputError, match="'price' is not a column of a chain"):
        Chain.from_csv(write(TABLE), columns={"price": "bid"})
    with pytest.raises(InputError, match=r"'bid' -> 'b', but .*has only 'time'"):
        Chain.from_csv(write(TABLE), columns={"bid": "b"})
    with pytest.raises(InputError, match="columns differ in length"):
        Chain.from_arrays(expiry="2024-05-03", strike=[1.0, 2.0], is_call=True, bid=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="columns differ in length"):
        Chain.from_frame({"expiry": ["2024-05-03"], "strike": [1.0, 2.0], "right": ["C"]})
    with pytest.raises(InputError, match="errors: 'skip'"):
        Chain.from_csv(write(TABLE), errors="skip")  # pyright: ignore[reportArgumentType]


def test_numbers_that_are_no_numbers():
    contract = {"expiry": "2024-05-03", "strike": [155.0, 160.0], "is_call": True}
    with pytest.raises(DataError, match="row 2, column 'bid': 'abc' is not a number"):
        Chain.from_arrays(**contract, bid=np.array([1.0, "abc"], dtype=object))
    with pytest.raises(DataError, match="row 1, column 'ask': 'True' is not a number"):
        Chain.from_arrays(**contract, ask=np.array([True, 1.0], dtype=object))
    chain = Chain.from_arrays(**contract, bid=np.array([None, "1.5"], dtype=object))
    np.testing.assert_array_equal(chain.bid, [np.nan, 1.5])


def test_a_header_alone_is_an_empty_chain(write):
    chain = Chain.from_csv(write(TABLE.splitlines()[0] + "\n"))
    assert len(chain) == 0
    assert len(chain.analyze()) == 0
    assert "no quotes" in repr(chain)
