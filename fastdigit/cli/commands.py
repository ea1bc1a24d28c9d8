"""The table of commands."""

from fastdigit.cli import bench, compare, download, evaluate, info, predict, report, train

ALL = (
    train.add_to,
    evaluate.add_to,
    predict.add_to,
    compare.add_to,
    bench.add_to,
    report.add_to,
    info.add_to,
    download.add_to,
)
