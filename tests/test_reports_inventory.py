"""Every number that the five texts print stands in the comparison, with its report and its place."""

from pathlib import Path

import pytest

from cifarnet.report import compare, numbers, studies

FOLDER = Path(__file__).parent.parent / "configs" / "reports"

# Typed from the texts. Left out are numbers that name things (pages, figures, tables, questions, dates, references) and
# repetitions of a number in the same report.
PRINTED = {
    "stagge-2019": """
        2.3e-6 1 2 0.33 100
        2.8972593586024902e-6 1.741924518732855e-7 4.434541038005285e-8 4.2280019721913735e-8
        40 0 0.1 0.267300 0.01 0.368400 0.333100 1 0.219100 0.22
    """,
    "chou-2019": """
        1e-6 46.00% 46.83%
        -4.8507 1.4103e-5 46.72% -4.3972 4.0071e-5 46.62% -2,5395 2.9e-3 46.44%
        -5 -1 2 10 75 1500 45000 5000 e-5 e-3 49000 1000
        0.0014 40 490 2000 1 51.19% 0.00076 50.90% 0.000538 1000 2 50.87%
        60 3 50.78%
    """,
    "garcia-sanz-2020": """
        4.415e-08 1.944e-07 4.717e-14 3.997e-13 4.096e-07 7.745e-13 4.718e-18 42 20
        4.117e-08 1.757e-07 1.463e-14 1.021e-12 4.114e-08 4.322e-07 2.431e-12 4.441e-12 400
        3.407e-08 1.683e-07 5.171e-14 4.885e-13 4.288e-08 4.295e-07 9.150e-13 5.551e-19
        3.255e-08 1.552e-07 2.145e-14 2.220e-13 4.251e-08 4.301e-07 7.851e-13 2.220e-12
        1e-7 1e-5 1e-1 0.01 500 10000 100 10 800 48 45.78% 46.74%
        45000 5000 -5 -1 0.5198 0.5164 0.5162 -2.7488288 -2.99472691 -4.46580721
        0.5268 0.5248 0.5244 -2.94991004 -2.88229322 -2.92952672
        1000 3 24 52.21%
    """,
    "yadava": """
        20 100 10 4.0415370017064554e-07 3.120560786931215e-07 3.7594296587128416e-07 2.331878651081477e-07
        1 45% 3 46% 900 48 1e-5 1e-1 0.001 0.1 1e-05 0.5004 0.5046 0.5174
        0.000010 0.001000 0.100000 0.000037 0.4996 0.000139 0.4972 0.000518 0.5000 0.001931 0.4982
        0.007197 0.5062 0.026827 0.5058 0.00037 0.4586 0.4573 0.4928 0.4854 0.01 0.5104
    """,
    "zenciroglu": """
        1e-11 1e-7 200 2 0.001 0 3072 20 50 1e-5 1
        2.54 2.38 0.08 0.15 2.439 1.199 0.74 2.347 1.323 0.1906 0.543 100 10000
        7.448042807619361e-12 7.532225861799947e-12 8.697536371671256e-12 1.3584279534573085e-11
        1.12059233 0.82 10.000 0.999 0.99 0.01
        3 1e-1 500 800 0.454 0.4612 0.4526 0.4599 0.4641 0.4636 0.4763
        45,000 5,000 10,000
        0.003772863865559457 0.499 0.0004930704361181606 0.4996 0.0033665965785468826 0.4975
        0.001305094636607304 0.5022 0.01757893078506135 0.4828 0.0007012053067447107
        9.177497906795191e-05 0.502 0.000310949509136683 0.4969 1e-3 1e-4 16
        9.862809522185001e-05 0.498 9.054812798313612e-05 0.5001 1.9651064567590842e-05 0.4968
        3.544673306817798e-05 0.5056 2.653016524046826e-05 0.4986 2.055764159216546e-05 0.4959
        3.614606936334905e-05 0.5019 2.6196012000341928e-05 2.406038940258964e-05 0.4992
        5.9831933161984584e-05 0.495 3.516860763871908e-05 0.4995 4.459893452752506e-05 0.4944
        1.1067150412880694e-05 0.5033 1.4001893917970237e-05 0.4947 1.2967366157634313e-05 0.4972
        2.7575325697602636e-05 0.5029 1.8544671883635666e-05 1000 0.5336 0.5186 0.5051 10 0.4141
    """,
}
TIMES = [
    "0.15 seconds", "1.23 seconds", "3.08 minutes", "1.5 minutes", "2 min 39 sec", "1 min 23 sec", "1 min 25 sec",
    "7 min 59 sec", "4 min 14 sec", "4 min 15 sec", "4 min 47 sec",
]  # fmt: skip


def value(text):
    return {"e-5": 1e-5, "e-3": 1e-3}.get(text) or numbers.quantity(text)


def entries(name):
    return list(compare.entries(studies.read(FOLDER / f"{name}.yaml"), lambda row: []))


@pytest.mark.parametrize("name", PRINTED)
def test_no_number_is_left_out(name):
    """Each number is found as printed, or as another way to write the same value."""
    found = entries(name)
    texts = {e.text.replace(" ", "") for e in found}
    values = {e.reported for e in found}
    missing = [text for text in PRINTED[name].split() if text not in texts and value(text) not in values]
    assert missing == []


def test_the_seven_rows_of_zenciroglu_have_their_accuracies_and_times():
    """0.499, 0.4996 and others appear twice: each row of a table has its own entry."""
    found = entries("zenciroglu")
    assert {e.text for e in found if e.quantity == "seconds"} | {"1.5 minutes"} == set(TIMES)
    assert len([e for e in found if e.exhibit in ("coarse", "fine") and e.quantity == "test accuracy"]) == 24
    assert len([e for e in found if e.exhibit == "table-4" and e.quantity == "test accuracy"]) == 7


@pytest.mark.parametrize("name", PRINTED)
def test_every_number_has_a_place_and_what_is_not_compared_a_reason(name):
    """Nothing stands in the table without where it comes from and why it is or is not compared."""
    for e in entries(name):
        assert e.place, e
        assert e.verdict in ("setting", "not run") or (e.verdict == "cannot be compared" and e.reason), e
