"""The article's job in plain Keras: what anyone would write in its place, and what our train step is measured against.

Three Conv2D layers, a Dense one, Adam, batch 50, pixels scaled to [0, 1] beforehand, the last 20 % for validation, all
in Keras's own defaults. Nothing of ours is used but the pictures.
"""

import keras
import numpy as np


def article(images: np.ndarray, labels: np.ndarray, epochs: int, callbacks: list | None = None) -> keras.Model:
    """Trains on uint8 pictures [n, height, width, channels] and labels [n], as the article does."""
    model = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            keras.layers.Conv2D(32, (3, 3), activation="relu"),
            keras.layers.Conv2D(64, (3, 3), activation="relu"),
            keras.layers.Conv2D(128, (3, 3), activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    scaled = images.astype("float32") / 255
    model.fit(scaled, labels, batch_size=50, epochs=epochs, validation_split=0.2, verbose=0, callbacks=callbacks)
    return model
