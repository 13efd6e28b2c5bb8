from steps.files import array, command, kept
from steps.maths import mean_squared_error


def evaluate(train: str, features: str, out: str) -> str:
    return kept(out, "evaluate.npy", mean_squared_error(array(features), array(train)))


if __name__ == "__main__":
    command(evaluate)
