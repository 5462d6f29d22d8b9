"""Mean and half width of an interval: (three floats) to two floats."""

import math
import statistics

import numpy
import torch

from . import slip

T = 4.303


def right_as_in_the_notebook(values):
    values = torch.tensor(values, dtype=torch.float64)
    error = values.std() / len(values) ** 0.5
    return values.mean().item(), T * error.item()


def right_by_hand(values):
    n = len(values)
    mean = sum(values) / n
    squares = 0
    for value in values:
        squares += (value - mean) ** 2
    return mean, 4.303 * math.sqrt(squares / (n - 1) / n)


def right_with_statistics(values):
    half = statistics.stdev(values) / 3 ** 0.5 * 4.302653
    return [statistics.fmean(values), half]


def right_with_numpy(values):
    values = numpy.asarray(values)
    return values.mean(), 4.303 * values.std(ddof=1) / numpy.sqrt(3)


def right_in_single_precision(values):
    x = torch.tensor(values)
    return x.mean(), 4.303 * x.std(correction=1) / math.sqrt(x.numel())


def right_population_then_corrected(values):
    x = numpy.array(values)
    return float(x.mean()), T * float(x.std()) / (len(x) - 1) ** 0.5


def right_as_one_tensor(values):
    x = torch.tensor(values, dtype=torch.float64)
    return torch.stack((x.mean(), T * (x.var() / len(x)).sqrt()))


@slip("the variance divides by n - 1 (Bessel's correction)")
def wrong_numpy_std(values):
    return numpy.mean(values), 4.303 * numpy.std(values) / 3 ** 0.5


@slip("divided by the root of n")
def wrong_no_root_of_n(values):
    x = torch.tensor(values, dtype=torch.float64)
    return x.mean().item(), 4.303 * x.std().item()


@slip("divided by n where the standard error takes its root")
def wrong_divided_by_n(values):
    return sum(values) / 3, 4.303 * statistics.stdev(values) / len(values)


@slip("4.303 of Student's t is missing")
def wrong_standard_error_alone(values):
    return sum(values) / 3, statistics.stdev(values) / math.sqrt(3)


@slip("4.303 of Student's t is missing")
def wrong_standard_deviation_alone(values):
    return statistics.mean(values), statistics.stdev(values)


@slip("1.96 holds for many runs")
def wrong_normal_quantile(values):
    x = torch.tensor(values)
    return x.mean().item(), (1.96 * x.std() / len(x) ** 0.5).item()


@slip("2 is not enough for three runs")
def wrong_two_errors(values):
    return sum(values) / 3, 2 * statistics.stdev(values) / 3 ** 0.5


@slip("two degrees of freedom")
def wrong_three_degrees_of_freedom(values):
    return sum(values) / 3, 3.182 * statistics.stdev(values) / 3 ** 0.5


@slip("two degrees of freedom")
def wrong_one_sided(values):
    return sum(values) / 3, 2.92 * statistics.stdev(values) / 3 ** 0.5


@slip("the full width")
def wrong_full_width(values):
    mean, half = right_by_hand(values)
    return mean, 2 * half


@slip("the interval is halved twice")
def wrong_half_of_the_half_width(values):
    mean, half = right_by_hand(values)
    return mean, half / 2


@slip("the variance in place of the standard deviation")
def wrong_variance(values):
    return sum(values) / 3, 4.303 * statistics.variance(values) / 3 ** 0.5


@slip("the variance in place of the standard deviation")
def wrong_root_forgotten(values):
    mean = sum(values) / 3
    return mean, 4.303 * sum((v - mean) ** 2 for v in values) / 2 / 3


@slip("half width and mean are swapped")
def wrong_swapped(values):
    return right_by_hand(values)[::-1]


@slip("the two ends of the interval")
def wrong_ends(values):
    mean, half = right_by_hand(values)
    return mean - half, mean + half


@slip("the median is not the mean")
def wrong_median(values):
    return sorted(values)[1], right_by_hand(values)[1]


@slip("not divided by the number of values")
def wrong_sum(values):
    return sum(values), right_by_hand(values)[1]


@slip("// rounds down")
def wrong_whole_division(values):
    return sum(values) // 3, right_by_hand(values)[1]


@slip("rounded")
def wrong_rounded(values):
    return tuple(round(x, 2) for x in right_by_hand(values))


@slip("rounded")
def wrong_int(values):
    return tuple(int(x) for x in right_by_hand(values))


@slip("two numbers, not words")
def wrong_strings(values):
    return tuple(f"{x:.2f}" for x in right_by_hand(values))


@slip("both have to be returned")
def wrong_mean_alone(values):
    return sum(values) / len(values)


@slip("no `return`")
def wrong_printed(values):
    print(*right_by_hand(values))


@slip("the list handed in was changed")
def wrong_sorted_in_place(values):
    values.sort()
    return right_by_hand(values)


@slip("divide by the number of values, 3")
def wrong_mean_over_two(values):
    mean = sum(values) / (len(values) - 1)
    return mean, 4.303 * statistics.stdev(values) / 3 ** 0.5


@slip("half of the distance between the largest and the smallest")
def wrong_range(values):
    return sum(values) / 3, (max(values) - min(values)) / 2


@slip("Bessel's correction")
def wrong_twice_population_and_normal(values):
    return numpy.mean(values), 1.96 * numpy.std(values) / len(values) ** 0.5


@slip("1.96 holds for many runs")
def wrong_twice_normal_and_no_root(values):
    return numpy.mean(values), 1.96 * numpy.std(values, ddof=1)


@slip("absolute values")
def wrong_absolute_values(values):
    return right_by_hand([abs(value) for value in values])
