"""A result such as `fastdigit bench` leaves behind, drawn by a seed, with everything in it."""

import random
from statistics import median, quantiles

MILLISECONDS = {
    "notebook": ("numpy", "float64", 58.0),
    "reference-f64": ("numpy", "float64", 63.0),
    "sparse-f64": ("fastdigit", "float64", 6.1),
    "sparse-f32": ("fastdigit", "float32", 3.9),
    "torch-csr-f32": ("torch", "float32", 19.5),
    "torch-csr-f64": ("torch", "float64", 41.0),
    "jax-jit-f32": ("jax", "float32", 22.4),
    "sklearn-f32": ("scikit-learn", "float32", 51.0),
}
WRONG = {
    "refused": "its weights are off by 3.1e-02 after 3 iterations, more than the 1e-05 allowed",
    "check": {"what": "weights after 3 iterations", "difference": 0.031, "allowed": 1e-5},
}
EMPTY = {
    "check": None,
    "import_seconds": None,
    "compile_seconds": None,
    "cached_seconds": None,
    "prepare_seconds": None,
    "rounds": [],
    "median_seconds": None,
    "quartiles_seconds": None,
    "ratio": None,
    "verdict": None,
    "facts": {},
}
STARTS = {
    "fastdigit": (0.06, 5.9, 0.04, 0.07),
    "numpy": (0.09, 0.0, 0.0, 0.18),
    "torch": (1.4, 0.0, 0.0, 1.2),
    "jax": (0.8, 0.83, 0.81, 0.22),
    "scikit-learn": (1.1, 0.0, 0.0, 0.39),
}


def result(rounds=15, seed=0):
    """Return a whole document of schema 2; ours lose one question, and one contender is wrong."""
    draw = random.Random(seed)
    times = {name: (*kind, ms / 1e3) for name, (*kind, ms) in MILLISECONDS.items()}
    iteration = question(draw, "iteration", "784-10-10, 41,000 images", times, rounds)
    iteration["contenders"].append(
        {"name": "scipy-dense", "library": "scipy", "dtype": "float32", "threads": 2}
        | EMPTY
        | WRONG
    )
    lost = {
        "fastdigit": ("fastdigit", "float32", 0.0021),
        "torch": ("torch", "float32", 0.0013),
        "numpy": ("numpy", "float32", 0.004),
    }
    few = question(draw, "predict", "100 images", lost, rounds, base="numpy")
    few["repetition"] = "100 images"
    accuracy = {
        "notebook": ("numpy", "float64", 44.0),
        "fastdigit": ("fastdigit", "float32", 0.31),
        "torch": ("torch", "float32", 1.21),
    }
    training = question(draw, "training", "98 % of MNIST's test images, 784-128-10", accuracy, 10)
    training["repetition"] = "training"
    for contender in training["contenders"]:
        contender["facts"] = {"test accuracy": 0.9816, "seconds to 98 %": 0.41, "seeds": 10}
    return {
        "schema": 2,
        "kind": "bench",
        "machine": machine(),
        "load_average_after": [1.9, 1.4, 1.1],
        "steal": 0.013,
        "settings": {"command": "fastdigit bench --against peers", "threads": 2, "seed": seed},
        "data": {
            "source": "train-images-idx3-ubyte.gz",
            "fingerprint": "7c077bee6406a2099cc5d09ea56a73dc",
            "images": 41_000,
            "share_of_zeros": 0.8085,
        },
        "wall_seconds": 412.5,
        "parts": {"start": 2.1, "data": 1.3, "check": 30.2, "wait": 44.0, "time": 330.0},
        "roofline": roofline(),
        "questions": [iteration, training, few, *scaling(draw, rounds)],
    }


def question(draw, suite, name, times, rounds, base="notebook", **parameters):
    slow = times[base][2]
    contenders = [
        contender(draw, kind, *about, rounds, None if kind == base else slow)
        for kind, about in times.items()
    ]
    return {
        "suite": suite,
        "name": name,
        "repetition": "iteration",
        "base": base,
        "noise_floor": 0.012,
        "busy": None,
        "parameters": parameters,
        "contenders": contenders,
        "again": contender(draw, base, *times[base], rounds, slow),
    }


def contender(draw, name, library, dtype, seconds, rounds, base):
    turns = [turn(draw, seconds) for _ in range(rounds)]
    times = [one["counted"] for one in turns]
    middle = median(times)
    start = STARTS.get(library, (None, None, None, None))
    ratio = None if base is None else base / middle
    return {
        "name": name,
        "library": library,
        "dtype": dtype,
        "threads": 2,
        "refused": None,
        "check": {
            "what": "weights after 3 iterations",
            "difference": 0.0 if name == "reference-f64" else 9e-7 * draw.random(),
            "allowed": 1e-5 if dtype == "float32" else 1e-6,
        },
        "rounds": turns,
        "median_seconds": middle,
        "quartiles_seconds": quantiles(times, n=4)[::2],
        "ratio": ratio
        and {"median": ratio, "low": ratio * 0.96, "high": ratio * 1.05, "rounds": rounds},
        "verdict": verdict(ratio),
        "facts": {},
    } | dict(
        zip(
            ("import_seconds", "compile_seconds", "cached_seconds", "prepare_seconds"),
            start,
            strict=True,
        )
    )


def verdict(ratio):
    if ratio is None:
        return None
    return "too close to call" if 0.9 < ratio < 1.1 else "faster" if ratio > 1 else "slower"


def turn(draw, seconds):
    disturbed = draw.random() < 0.1
    factor = draw.lognormvariate(0, 0.05) * (1.6 if disturbed else 1)
    position = draw.randrange(8)
    repetitions = [seconds * factor * draw.lognormvariate(0, 0.02) for _ in range(3)]
    return {
        "position": position,
        "seconds": repetitions,
        "counted": min(repetitions),
        "speed": 0.7 if disturbed else 0.99,
        "steal": 0.09 if disturbed else 0.0,
        "others": 1 if disturbed else 0,
        "disturbed": disturbed,
    }


def scaling(draw, rounds):
    def both(threads, images):
        work = images / 41_000
        times = {
            "notebook": ("numpy", "float64", 0.058 * work / (1 + 0.1 * (threads - 1))),
            "sparse-f32": ("fastdigit", "float32", 0.0072 * work / threads**0.9),
        }
        name = f"{images:,} images, {threads} thread{'s' * (threads > 1)}"
        return question(draw, "scaling", name, times, rounds, threads=threads, images=images)

    threads = [both(count, 41_000) for count in (1, 2, 4)]
    return [*threads, *(both(2, images) for images in (1_000, 4_000, 16_000))]


def machine():
    return {
        "date": "2026-12-01T08:19:50+00:00",
        "system": "Linux 6.18 x86_64",
        "cpu": {
            "model": "Intel(R) Xeon(R) Processor",
            "cores": 2,
            "cores_allowed": 2,
            "caches": {"L1d": "48K", "L2": "2048K", "L3": "107520K"},
            "vectors": ["avx2", "fma", "avx512f"],
            "hypervisor": True,
            "governor": "unknown",
        },
        "memory": {"total_gb": 25.3, "available_gb": 24.5},
        "load_average": [0.4, 0.7, 1.1],
        "versions": {"python": "3.11.7", "fastdigit": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1"},
        "blas": {"name": "scipy-openblas", "version": "0.3.31"},
        "blas_threads": 2,
        "threading_layer": "omp",
        "git_revision": "0123456789ab",
    }


def roofline():
    rates = [
        {
            "threads": threads,
            "clock": 2.9e9,
            "multiply_adds": {"float32": 67e9 * threads, "float64": 35e9 * threads},
            "loads": 4e9 * threads,
            "updates": 2e9 * threads,
            "bandwidth": {
                "L1": 250e9 * threads,
                "L2": 97e9 * threads,
                "L3": 10e9 * threads,
                "memory": 9.2e9 * threads,
            },
        }
        for threads in (1, 2)
    ]
    kinds = {
        ("sparse", "float32"): (0.2447, 48e9, 0.79),
        ("sparse", "float64"): (0.1224, 25e9, 0.83),
        ("dense", "float32"): (41.5, 134e9, 0.63),
        ("dense", "float64"): (41.5, 70e9, 0.5),
    }
    iterations = [
        {
            "storage": storage,
            "dtype": dtype,
            "threads": threads,
            "seconds": 0.004 / share / threads,
            "limit_seconds": 0.004 / threads,
            "share": share,
            "flops": share * limit * threads,
            "limit_flops": limit * threads,
            "intensity": intensity,
        }
        for threads in (1, 2)
        for (storage, dtype), (intensity, limit, share) in kinds.items()
    ]
    return {
        "caches": {"L1": 49152, "L2": 2097152, "L3": 110100480},
        "rates": rates,
        "iterations": iterations,
    }
