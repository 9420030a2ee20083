"""Regression: the median house value of Californian districts, with the Trainer.

The features have units of their own (degrees, years, rooms, dollars): all are brought to mean 0
and standard deviation 1, and so is the target; the error is told in dollars again.

Run it:  python examples/05_house_prices.py
"""

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.data import ArrayDataset, DataLoader, Standardizer, california_housing
from tinygrad_bn.training import Trainer


def main() -> tuple[float, float]:
    """Train for a few passes; returns the error in dollars, and that of guessing the mean."""
    tg.random.manual_seed(0)
    train, test = california_housing()

    # Fitted on the training districts only: the test districts must stay unseen.
    inputs = Standardizer().fit(train.features)
    values = Standardizer().fit(train.target)

    def standardised(part: ArrayDataset) -> ArrayDataset:
        features, target = part.arrays
        return ArrayDataset(inputs.transform(features), values.transform(target))

    model = nn.Sequential(
        nn.Linear(8, 64, bias=False), nn.BatchNorm(64), nn.ReLU(), nn.Linear(64, 1)
    )
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01), nn.HuberLoss())
    trainer.fit(
        DataLoader(standardised(train), 256, shuffle=True, seed=0),
        epochs=5,
        validation=DataLoader(standardised(test), 1024),
    )

    model.eval()
    with tg.no_grad():
        guesses = model(tg.asarray(inputs.transform(test.features)))
    dollars = values.inverse_transform(guesses.numpy())
    error = float(np.sqrt(np.mean((dollars - test.target) ** 2)))
    naive = float(np.sqrt(np.mean((test.target - train.target.mean()) ** 2)))
    print(f"root mean squared error: {error:,.0f} dollars; guessing the mean: {naive:,.0f} dollars")
    return error, naive


if __name__ == "__main__":
    main()
