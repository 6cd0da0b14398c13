"""Every number that the five reports print stands in their studies."""

import re
from collections import Counter

import pytest

from cifarnet.studies.printed import quantity
from cifarnet.verdicts import compare
from tests.seventh import shipped

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
# Typed from the texts, too: each result as often as it is printed at its place ("PLACE: QUANTITY: NUMBERS").
RESULTS = {
    "stagge-2019": """
        Section 2.1: test accuracy: 0.267300
        Section 2.2: test accuracy: 0.368400
        Section 2.3: test accuracy: 0.333100
        Section 2.4: test accuracy: 0.219100
        Section 3: test accuracy: 0.33 0.22
        Section 1: norm relative error W1 forward: 2.8972593586024902e-6
        Section 1: norm relative error b1 forward: 1.741924518732855e-7
        Section 1: norm relative error W1 centred: 4.434541038005285e-8
        Section 1: norm relative error b1 centred: 4.2280019721913735e-8
        Section 1, second paragraph: norm relative error W1 forward: 2.3e-6 0.33
    """,
    "chou-2019": """
        Gradient Computation, slide 2: max absolute error centred: 1e-6
        Cyclical Learning Rate 1: test accuracy: 46.00%
        Cyclical Learning Rate 2: test accuracy: 46.83%
        Coarse Search, table, row 1: validation accuracy: 46.72%
        Coarse Search, table, row 2: validation accuracy: 46.62%
        Coarse Search, table, row 3: validation accuracy: 46.44%
        Fine Search, i: validation accuracy: 51.19%
        Fine Search, ii: validation accuracy: 50.90%
        Fine Search, iii: validation accuracy: 50.87%
        Best lambda: test accuracy: 50.78%
    """,
    "garcia-sanz-2020": """
        Table 1: mean signed error W1 forward: 4.415e-08
        Table 1: mean signed error W2 forward: 1.944e-07
        Table 1: mean signed error W1 centred: 4.717e-14
        Table 1: mean signed error W2 centred: 3.997e-13
        Table 1: mean signed error b1 forward: 4.415e-08
        Table 1: mean signed error b2 forward: 4.096e-07
        Table 1: mean signed error b1 centred: 7.745e-13
        Table 1: mean signed error b2 centred: 4.718e-18
        Table 2: mean signed error W1 forward: 4.117e-08
        Table 2: mean signed error W2 forward: 1.757e-07
        Table 2: mean signed error W1 centred: 1.463e-14
        Table 2: mean signed error W2 centred: 1.021e-12
        Table 2: mean signed error b1 forward: 4.114e-08
        Table 2: mean signed error b2 forward: 4.322e-07
        Table 2: mean signed error b1 centred: 2.431e-12
        Table 2: mean signed error b2 centred: 4.441e-12
        Table 3: mean signed error W1 forward: 3.407e-08
        Table 3: mean signed error W2 forward: 1.683e-07
        Table 3: mean signed error W1 centred: 5.171e-14
        Table 3: mean signed error W2 centred: 4.885e-13
        Table 3: mean signed error b1 forward: 4.288e-08
        Table 3: mean signed error b2 forward: 4.295e-07
        Table 3: mean signed error b1 centred: 9.150e-13
        Table 3: mean signed error b2 centred: 5.551e-19
        Table 4: mean signed error W1 forward: 3.255e-08
        Table 4: mean signed error W2 forward: 1.552e-07
        Table 4: mean signed error W1 centred: 2.145e-14
        Table 4: mean signed error W2 centred: 2.220e-13
        Table 4: mean signed error b1 forward: 4.251e-08
        Table 4: mean signed error b2 forward: 4.301e-07
        Table 4: mean signed error b1 centred: 7.851e-13
        Table 4: mean signed error b2 centred: 2.220e-12
        Section 2, last paragraph: test accuracy: 45.78% 46.74%
        Section 3.1: validation accuracy: 0.5198 0.5164 0.5162
        Section 3.2: validation accuracy: 0.5268 0.5248 0.5244
        Section 3.3: test accuracy: 52.21%
    """,
    "yadava": """
        Checking Analytic Gradient, Table 1: norm relative error W1 forward: 4.0415370017064554e-07
        Checking Analytic Gradient, Table 1: norm relative error b1 forward: 3.120560786931215e-07
        Checking Analytic Gradient, Table 1: norm relative error W2 forward: 3.7594296587128416e-07
        Checking Analytic Gradient, Table 1: norm relative error b2 forward: 2.331878651081477e-07
        Curves for Training and Validation Loss, Plot 1: test accuracy: 45%
        Curves for Training and Validation Loss, Plot 2: test accuracy: 46%
        Coarse Search: validation accuracy: 0.5004 0.5046 0.5174
        Coarse Search, caption of the plot: validation accuracy: 0.5004 0.5046 0.5174
        Fine Search: validation accuracy: 0.5004 0.4996 0.4972 0.5000 0.4982 0.5062 0.5058 0.5174
        Fine Search, caption of the plot: validation accuracy: 0.5004 0.4996 0.4972 0.5000 0.4982 0.5062 0.5058 0.5174
        Training with best 3 lambdas on test data: test accuracy: 0.4586 0.4573 0.5174
        Training with best 3 lambdas, caption of the plot: validation accuracy: 0.4928 0.4854 0.5104
    """,
    "zenciroglu": """
        Answer 2.i, Table 2: mean absolute error W1 centred: 7.448042807619361e-12
        Answer 2.i, Table 2: mean absolute error W2 centred: 7.532225861799947e-12
        Answer 2.i, Table 2: mean absolute error b1 centred: 8.697536371671256e-12
        Answer 2.i, Table 2: mean absolute error b2 centred: 1.3584279534573085e-11
        Answer 2.i, first paragraph: mean absolute error centred: 1e-11
        Answer 2.i, below Table 1: first train cost: 2.54 2.439 2.347
        Answer 2.i, below Table 1: train cost: 2.38 1.199 1.323
        Answer 2.i, below Table 1: first train accuracy: 0.08 0.15 0.1906
        Answer 2.i, below Table 1: train accuracy: 0.15 0.74 0.543
        Answer 2.i, below Table 2: train loss: 1.12059233
        Answer 2.i, below Table 2: train accuracy: 0.82
        Table 4: test accuracy: 0.454 0.4612 0.4526 0.4599 0.4641 0.4636 0.4763
        code above Figure 2: test accuracy: 0.4612
        code above Figure 3: test accuracy: 0.4641
        code above Figure 4: test accuracy: 0.4763
        Table 5: test accuracy: 0.499 0.4996 0.4975 0.5022 0.4828 0.499 0.502 0.4969
        Table 6: test accuracy: 0.498 0.5001 0.4968 0.5056 0.4986 0.4959
        Table 6: test accuracy: 0.5019 0.5001 0.4992 0.495 0.4995 0.4944 0.5033 0.4947 0.4972 0.5029
        Answer 2.v, first table: test accuracy: 0.5336
        Answer 2.v, code: test accuracy: 0.5336
        Answer 2.v, second table: test accuracy: 0.5186 0.5051 0.4141
    """,
}
TIMES = [
    "0.15 seconds", "1.23 seconds", "3.08 minutes", "1.5 minutes", "2 min 39 sec", "1 min 23 sec", "1 min 25 sec",
    "7 min 59 sec", "4 min 14 sec", "4 min 15 sec", "4 min 47 sec",
]  # fmt: skip


def entries(name):
    return list(compare.entries(shipped(name), lambda row: []))


@pytest.mark.parametrize("name", PRINTED)
def test_every_printed_number_is_there_with_its_place_and_reason(name):
    """Each as printed, or as another way to write the same value; what is not compared has a reason."""
    found = entries(name)
    texts, values = {e.text.replace(" ", "") for e in found}, {e.reported for e in found}
    number = {"e-5": 1e-5, "e-3": 1e-3}
    missing = [t for t in PRINTED[name].split() if t not in texts and (number.get(t) or quantity(t)) not in values]
    assert missing == []
    for e in found:
        assert e.place, e
        assert e.verdict in ("setting", "not run") or (e.verdict == "cannot be compared" and e.reason), e


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_there_as_often_as_it_is_printed(name):
    """By report, place, quantity and number, with multiplicity; tables by their name, without the row."""
    lines = [line.strip().split(": ") for line in RESULTS[name].strip().splitlines()]
    typed = Counter((place, what, text) for place, what, texts in lines for text in texts.split())
    other = {row.id for exhibit in shipped(name).exhibits for row in exhibit.rows if row.alternative}
    found = [e for e in entries(name) if e.row and e.is_result and e.quantity != "seconds" and e.row not in other]
    places = [re.sub(r"^(Table \d|Answer 2.v, second table), row \d+$", r"\1", e.place) for e in found]
    have = zip(places, found, strict=True)
    assert Counter((place, e.quantity, e.text.replace(" ", "")) for place, e in have) == typed


def test_the_rows_of_zenciroglu_have_their_accuracies_and_times():
    """0.499, 0.4996 and others appear twice: each row of a table has its own entry."""
    found = entries("zenciroglu")
    assert {e.text for e in found if e.quantity == "seconds"} | {"1.5 minutes"} == set(TIMES)
    accuracies = [e.exhibit for e in found if e.quantity == "test accuracy" and e.counts]
    assert accuracies.count("coarse") + accuracies.count("fine") == 24
    assert accuracies.count("table-4") == 7
