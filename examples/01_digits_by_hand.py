"""A network that reads handwritten digits, the training loop written out.

Run it:  python examples/01_digits_by_hand.py
"""

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.data import DataLoader, mnist


def build() -> nn.Sequential:
    """784 pixels in, a score for each of the ten digits out."""
    return nn.Sequential(
        nn.Linear(784, 64, bias=False),  # batch norm would take a bias away again
        nn.BatchNorm(64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def accuracy(model: nn.Sequential, images: tg.Tensor, labels: tg.Tensor) -> float:
    """The fraction of digits that are recognised."""
    model.eval()  # batch norm now uses the population's statistics, not the batch's
    with tg.no_grad():
        hits = tg.argmax(model(images), axis=1) == labels
    model.train()
    return float(tg.mean(tg.astype(hits, tg.float32)))


def main() -> float:
    """Train for one pass over the 8,000 digits that come with the package."""
    tg.random.manual_seed(0)
    train, test = mnist(subset=True, flatten=True)
    images, labels = (tg.asarray(a) for a in test[:])

    model = build()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step, (x, y) in enumerate(DataLoader(train, 64, shuffle=True, seed=0)):
        loss = tg.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 25 == 0:
            print(f"step {step:3}  loss {loss.item():.3f}")

    found = accuracy(model, images, labels)
    print(f"recognised {found:.1%} of {len(test)} digits it has never seen")
    return found


if __name__ == "__main__":
    main()
