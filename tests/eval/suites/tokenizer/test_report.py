"""The report of a tokenizer and its command: groups, intervals, files, mistakes."""

import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from motionmillion.cli.app import main
from motionmillion.data import MotionClip, synthesize, synthetic_clips
from motionmillion.eval.compare.comparison import compare
from motionmillion.eval.reconstruction import evaluate_tokenizer, measure_clip
from motionmillion.eval.results import Results
from motionmillion.eval.suites.tokenizer.plots import MOST_CATEGORIES, plot_categories
from motionmillion.eval.suites.tokenizer.report import TokenizerReport, tokenizer_report
from motionmillion.eval.suites.tokenizer.run import (
    MEASURES,
    evaluate_folders,
    main_table,
    protocol,
    results_of,
    write_report,
)
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

PLOTS = ("error_by_category.png", "acceleration.png", "code_usage.png")


def windows(clip: MotionClip, count: int) -> list[MotionClip]:
    """Several windows of one take."""
    size = clip.motion.num_frames // count
    parts = [clip.motion.slice(n * size, (n + 1) * size) for n in range(count)]
    return [clip.replace(name=f"{clip.name}_{index}", motion=part, whole=False) for index, part in enumerate(parts)]


@pytest.fixture(scope="module")
def datasets() -> dict[str, list[MotionClip]]:
    """Two data sets; of the category "bow" there is one take only, in three windows."""
    clips = synthetic_clips(10, seed=0)
    bow = MotionClip("bow", synthesize("squat", seed=9, seconds=3), category="bow")
    return {"one": clips[:6], "two": [*clips[6:], *windows(bow, 3)]}


@pytest.fixture(scope="module")
def report(tiny_tokenizer, datasets) -> TokenizerReport:
    return tokenizer_report(tiny_tokenizer, datasets, batch_size=4, resamples=200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Motion files: seven for test, one for train."""
    folder = tmp_path_factory.mktemp("data") / "mine"
    for index in range(8):
        synthesize("wave", seed=index, seconds=2).save(folder / f"wave{index}.npz")
    (folder / "test.txt").write_text("".join(f"wave{index}\n" for index in range(7)))
    return folder


@pytest.fixture(scope="module")
def model(tiny_tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_tokenizer.save_pretrained(folder)
    return folder


def test_every_clip_is_measured_as_if_alone(tiny_tokenizer, datasets, report):
    clips = [(name, clip) for name, members in datasets.items() for clip in members]
    assert [(row.dataset, row.clip) for row in report.clips] == [(name, clip.name) for name, clip in clips]
    for row, (_, clip) in zip(report.clips, clips, strict=True):
        features = tiny_tokenizer.representation.encode(clip.motion.canonicalize())
        values, codes = measure_clip(tiny_tokenizer, features)
        assert row.codes is not None and codes is not None and row.codes.tolist() == codes.tolist()
        assert (row.frames, row.category, row.take) == (len(features), clip.category, clip.take)
        assert row.values == pytest.approx(values, rel=1e-3, abs=1e-3)
        assert row.histogram.sum(1).tolist() == [21 * (len(features) - 2)] * 2


def test_groups_weigh_frames_and_agree_with_the_quick_validation(tiny_tokenizer, datasets, report):
    clips = [clip for members in datasets.values() for clip in members]
    codec = tiny_tokenizer.representation
    quick = evaluate_tokenizer(tiny_tokenizer, [codec.encode(clip.motion.canonicalize()) for clip in clips])
    assert report.overall.codes["usage"] == quick.pop("code_usage")
    assert report.overall.codes["perplexity"] == pytest.approx(quick.pop("code_perplexity"))
    assert {name: report.overall.mean[name] for name in quick} == pytest.approx(quick, rel=1e-4, abs=1e-4)
    assert [group.clips for group in report.datasets.values()] == [6, 7]
    assert sum(group.frames for group in report.categories.values()) == report.overall.frames
    walks = [row for row in report.clips if row.category == "walk"]
    expected = np.average([row.values["jerk_mm"] for row in walks], weights=[row.frames for row in walks])
    assert report.categories["walk"].mean["jerk_mm"] == pytest.approx(expected)
    frames = [group.frames for group in report.categories.values()]
    assert frames == sorted(frames, reverse=True)


def test_intervals_are_over_takes_and_missing_for_one(report):
    low, high = report.overall.interval["mpjpe_mm"]
    assert low < report.overall.mean["mpjpe_mm"] < high
    bow = report.categories["bow"]
    assert (bow.clips, bow.takes) == (3, 1) and set(bow.interval.values()) == {None}
    assert report.overall.takes == 11
    assert "(one take)" in write_lines(report, "bow")


def write_lines(report: TokenizerReport, category: str) -> str:
    from motionmillion.eval.suites.tokenizer.run import category_table

    return next(line for line in category_table(report).splitlines() if line.startswith(f"| {category} |"))


def test_the_same_seed_gives_the_same_report_whatever_the_batches(tiny_tokenizer, datasets, report):
    again = tokenizer_report(tiny_tokenizer, datasets, batch_size=4, resamples=200)
    assert again.as_dict() == report.as_dict()
    other = tokenizer_report(tiny_tokenizer, datasets, batch_size=13, resamples=200, seed=1)
    assert other.overall.mean == pytest.approx(report.overall.mean, rel=1e-3, abs=1e-3)
    assert other.overall.interval["mpjpe_mm"] != pytest.approx(report.overall.interval["mpjpe_mm"], rel=1e-4)


def test_without_a_codebook_there_is_no_usage(datasets, tmp_path):
    tokenizer = MotionTokenizer(MotionTokenizerConfig(width=32, depth=1, quantizer={"type": "none"})).eval()
    report = tokenizer_report(tokenizer, {"two": datasets["two"]}, resamples=10)
    assert report.overall.codes is None and "code usage" not in main_table(report)
    options = {"model": "x", "data": ["two"], "split": "test", "seed": 0, "batch_size": 1, "device": "cpu"}
    paths = write_report(report, protocol(tokenizer, {**options, "resamples": 10}), tmp_path)
    assert "code_usage.png" not in {path.name for path in paths}
    facts = json.loads((tmp_path / "results.json").read_text())["protocol"]
    assert facts["weights_sha256"] == {} and "weights without a file" in (tmp_path / "report.md").read_text()


def test_command_writes_files_that_parse(monkeypatch, capsys, tmp_path, folder, model):
    code, out, _ = call(monkeypatch, capsys, "--model", model, "--data", folder, "-o", tmp_path / "new", "--seed", 5)
    names = ("results.json", "clips.jsonl", "report.md", "report.html", *PLOTS)
    assert code == 0 and out.splitlines()[-7:] == [str(tmp_path / "new" / name) for name in names]
    results = Results.load(tmp_path / "new")
    facts = results.protocol
    assert facts["versions"]["torch"] == version("torch") and facts["seed"] == 5 and facts["split"] == "test"
    assert len(facts["weights_sha256"]["model.safetensors"]) == 64 and facts["tokenizer"]["width"] == 32
    assert str(tmp_path.parent) not in (tmp_path / "new" / "results.json").read_text()
    assert "--data mine --split test" in facts["command"]
    assert [(group.name, group.kind) for group in results.groups[:2]] == [("all", "all"), ("mine", "dataset")]
    figure = results.overall.values["mpjpe_mm"]
    mean = figure.mean
    assert figure.low < mean < figure.high and results.overall.values == results.groups[1].values
    assert {"usage", *MEASURES} <= set(results.overall.values) <= {measure.name for measure in results.measures}
    rows = [json.loads(line) for line in (tmp_path / "new" / "clips.jsonl").read_text().splitlines()]
    assert [row["clip"] for row in rows] == [f"wave{index}" for index in range(7)]
    assert np.average([row["mpjpe_mm"] for row in rows], weights=[row["frames"] for row in rows]) == pytest.approx(
        mean
    )
    text = (tmp_path / "new" / "report.md").read_text()
    table = out.split("\n\n")[0]
    assert table in text and all(label in table for label in MEASURES.values())
    assert "mine (7 clips, 7 takes, 0.2 min)" in table and "| none | 7 | 7 |" in text
    assert all(f"({name})" in text and (tmp_path / "new" / name).read_bytes()[:4] == b"\x89PNG" for name in PLOTS)


def test_results_of_two_tokenizers_are_compared(datasets, report, tmp_path):
    other = MotionTokenizer(MotionTokenizerConfig(width=32, depth=1, quantizer={"type": "none"})).eval()
    facts = {"data": ["two"], "split": "test", "seed": 0}
    loaded = []
    for name, one in (("a", report), ("b", tokenizer_report(other, datasets, resamples=10))):
        results_of(one, {"model": name, **facts}).save(tmp_path / name)
        loaded.append(Results.load(tmp_path / name))
        assert loaded[-1] == results_of(one, {"model": name, **facts})
    tested = {(test.measure, test.group) for test in compare(loaded, flips=50, resamples=50).tests}
    assert {("mpjpe_mm", "all"), ("rotation_degrees", "all")} <= tested
    assert "usage" in loaded[0].overall.values and "usage" not in loaded[1].overall.values
    fewer = tokenizer_report(other, {"two": datasets["two"]}, resamples=10)
    with pytest.raises(
        ValueError, match="must come from the same prompts, got different ones of the suite 'tokenizer'"
    ):
        compare([loaded[0], results_of(fewer, {"model": "b", **facts})])


def test_several_folders_get_a_column_each(folder, model, tmp_path):
    other = tmp_path / "other"
    synthesize("jump", seed=0, seconds=2).save(other / "jump.npz")
    (other / "test.txt").write_text("jump\n")
    table, paths = evaluate_folders(model, [folder, other], output=tmp_path / "out", resamples=10, plots=False)
    head = table.splitlines()[0]
    assert [cell.split(" (")[0] for cell in head.strip("| ").split(" | ")] == ["measure", "all", "mine", "other"]
    assert [path.name for path in paths] == ["results.json", "clips.jsonl", "report.md", "report.html"]
    assert "(one take)" in table and ".png" not in (tmp_path / "out" / "report.md").read_text()
    assert "<img" not in (tmp_path / "out" / "report.html").read_text()


@pytest.fixture(scope="module")
def page(tiny_tokenizer, report, tmp_path_factory) -> Path:
    """A page of a data set whose name is dangerous."""
    names = {"one": "<b>|one", "two": "two"}
    clips = [replace(row, dataset=names[row.dataset]) for row in report.clips]
    named = replace(report, clips=clips, datasets={names[name]: group for name, group in report.datasets.items()})
    options = {"model": "tiny", "data": ["one", "two"], "split": "test", "seed": 0, "batch_size": 4, "device": "cpu"}
    folder = tmp_path_factory.mktemp("page")
    write_report(named, protocol(tiny_tokenizer, {**options, "resamples": 200}), folder)
    return folder / "report.html"


def test_the_page_holds_all_of_the_report_and_asks_for_nothing(page: Path, report):
    text, markdown = page.read_text(), (page.parent / "report.md").read_text()
    assert "Tokenizer tiny: reconstruction" in text and "prefers-color-scheme: dark" in text
    assert all(label in text for label in MEASURES.values()) and all(
        f">{name}</th>" in text for name in report.categories
    )
    assert text.count("data:image/png;base64,") == len(PLOTS) and "&quot;resamples&quot;: 200" in text
    assert "http:" not in text and "https:" not in text and "src=" not in text.replace('src="data:', "")
    assert "<b>|one" not in text and "&lt;b&gt;|one" in text and "&lt;b&gt;\\|one" in markdown


def test_the_page_opens_in_a_browser(page: Path, tmp_path: Path, browse):
    probe = tmp_path / "probe.html"
    script = """<script>onload = () => {
      document.querySelectorAll("table")[1].querySelectorAll("th button")[4].click();
      const seen = [...document.images].filter((image) => image.naturalWidth > 99).length;
      document.title = `${seen} images, ${document.querySelectorAll("[aria-sort]").length} sorted`;
    };</script></body>"""
    probe.write_text(page.read_text().replace("</body>", script))
    shown = browse(probe, "--virtual-time-budget=2000", size="1200,1600")
    assert shown.console == [] and "<title>3 images, 1 sorted</title>" in shown.dom


def test_plots_show_the_longest_of_many_categories(report):
    many = {f"action {index}": report.categories["walk"] for index in range(MOST_CATEGORIES + 3)}
    axes = plot_categories(replace(report, categories=many)).axes[0]
    assert len(axes.get_yticks()) == MOST_CATEGORIES and "3 shorter ones" in axes.get_title()


def call(monkeypatch, capsys, *arguments) -> tuple[int, str, str]:
    """Run `motionmillion evaluate tokenizer` in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["motionmillion", "evaluate", "tokenizer", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
        raise SystemExit(0)
    return int(stop.value.code or 0), *capsys.readouterr()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--split": "dev"}, "split must be one of train, val, test, got 'dev'"),
        ({"--split": "val"}, "folder must hold motions of the split val"),
        ({"--data": "nosuch"}, "data must be an existing folder of motions, got 'nosuch'"),
        ({"--data": None}, "--data"),
        ({"-o": "a file"}, "output must be a folder, got the file 'a file'"),
        ({"-o": "a file/inside"}, "writable folder"),
        ({"--resamples": 0}, "resamples must be at least 1, got 0"),
        ({"--batch-size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"--seed": -1}, "seed must not be negative, got -1"),
        ({"--model": "nosuch"}, "pipeline must be one of"),
        ({"--device": "toaster"}, "device must be one"),
    ],
    ids=str,
)
def test_mistakes_end_with_one_line_and_no_file(monkeypatch, capsys, tmp_path, folder, model, changes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    options = {"--model": model, "--data": folder, "-o": "out", **changes}
    code, out, err = call(
        monkeypatch, capsys, *(word for key, value in options.items() if value is not None for word in (key, value))
    )
    lines = err.strip().splitlines()
    assert code == 2 and out == "" and message in lines[-1] and "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_folders_of_one_name_and_no_folder_are_refused(folder, model, tmp_path):
    with pytest.raises(ValueError, match="different names, got 'mine' twice"):
        evaluate_folders(model, [folder, folder], output=tmp_path)
    with pytest.raises(ValueError, match="at least one folder"):
        evaluate_folders(model, [], output=tmp_path)


def test_empty_data_sets_are_refused(tiny_tokenizer, datasets):
    for wrong in ({}, {**datasets, "three": []}):
        with pytest.raises(ValueError, match="at least one clip each"):
            tokenizer_report(tiny_tokenizer, wrong)


def test_plots_without_matplotlib_say_what_to_install(monkeypatch, capsys, tmp_path, folder, model):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what Python itself does for a package that is not there
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    arguments = ("--model", model, "--data", folder, "-o", tmp_path / "out", "--resamples", 10)
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert code == 2 and 'pip install "scipy' in err and not (tmp_path / "out").exists()
    assert call(monkeypatch, capsys, *arguments, "--no-plots")[0] == 0
