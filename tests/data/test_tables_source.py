import pytest
import torch

from limbeck.data import load, read
from limbeck.errors import OptionError

TABLE = 'age,income,"zip, code",label\n' + "".join(
    f'{20 + i},{i * 1000},x,"{word}"\n' for i, word in enumerate(["no", "yes, sure"] * 6)
)
RANGES = "age = [0, 100]\nincome = [0, 5_000]\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(TABLE)
    (tmp_path / "people.ranges.toml").write_text(RANGES)
    return path


def test_columns_are_scaled_by_public_ranges_and_clipped(table):
    data = read(table)
    age = torch.tensor([(20 + i) / 100 for i in range(12)])
    income = torch.tensor([min(i / 5, 1.0) for i in range(12)])
    assert torch.allclose(data.inputs, torch.stack([age, income], 1))
    assert data.classes == ("no", "yes, sure") and data.labels.tolist() == [0, 1] * 6
    private, test = load(table, test_share=0.5)
    assert len(private) + len(test) == 12


def test_ranges_may_be_json_and_one_range_may_serve_all(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a\tkind\tb\n" + "1\tu\t2\n3\tv\t4\n" * 3)
    data = read(path, label="kind", value_range=(0.0, 4.0))
    assert torch.equal(data.inputs[:2], torch.tensor([[0.25, 0.5], [0.75, 1.0]]))
    (tmp_path / "t.ranges.json").write_text('{"b": [0, 8]}')
    assert torch.equal(read(path, label="kind").inputs[:2], torch.tensor([[0.25], [0.5]]))


def test_a_column_names_the_person(table):
    text = TABLE.replace('"zip, code"', "who").splitlines()
    people = [line.replace(",x,", f",{'ab'[i % 2]},") for i, line in enumerate(text[1:])]
    table.write_text("\n".join([text[0], *people]))
    first, second = read(table, group="who").groups[:2].tolist()
    assert first != second
    assert read(table, group="who").groups.tolist() == [first, second] * 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("21,1000", ",1000"), "'age' is empty in 1 of 12"),
        (TABLE.replace("21,1000", "nan,1000"), "'age' holds NaN or infinity in 1 of 12"),
        (TABLE.replace("21,1000", "inf,1000"), "'age' holds NaN or infinity in 1 of 12"),
        (TABLE.replace("21,1000", "old,1000"), r"'age' is not numeric \([^(]*: 'old'\);"),
        (TABLE.replace("21,1000", "21"), "cannot be read as a table"),
        (TABLE.replace("age,", ""), "3 names in its header and 4 values a line"),
        (TABLE.replace("age,", "income,"), "empty or repeated names"),
        (TABLE.replace("income,", "salary,"), "lacks the column 'income' of its ranges file"),
        (TABLE.splitlines()[0], "no line of values"),
        ("", "no line of values"),
    ],
)
def test_bad_tables_are_refused_in_one_line(table, refused, text, message):
    table.write_text(text)
    with refused(message):
        load(table)


def test_text_of_another_encoding_is_refused(table, refused):
    table.write_bytes(TABLE.replace("yes", "ja-für-ü").encode("latin-1"))
    with refused("not UTF-8"):
        load(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age = 3\n", "not a table of ranges"),
        ("age = [0", "not a table of ranges"),
        ("age = [5, 5]\n", "range of 'age' is empty"),
        ("age = [500, 900]\n", "every value of column 'age' lies outside"),
    ],
)
def test_bad_ranges_are_refused(table, refused, text, message):
    table.with_name("people.ranges.toml").write_text(text)
    with refused(message):
        load(table)


def test_unknown_ranges_are_refused_with_the_next_step(table, refused):
    table.with_name("people.ranges.toml").unlink()
    with refused("public ranges of 3 columns are unknown; .*people.ranges.toml"):
        load(table)


def test_unknown_columns_are_refused(table, refused):
    with refused("no column 'sex'; it has 'age'", OptionError):
        load(table, label="sex")
    with refused("no column 'person' for group", OptionError):
        load(table, group="person")
    table.write_text(TABLE.replace("label", "outcome"))
    with refused("which column is the label", OptionError):
        load(table)
