"""Imported once by the process from which children are forked, so that none of them loads TensorFlow again (4 s each).

Only imports: no operation has run when it forks, so there are no threads of TensorFlow that a fork would lose.
"""

import tensorboard.backend.event_processing.event_accumulator  # noqa: F401

import components.download.run
import components.evaluate.report.board
import components.evaluate.run
import components.export.run
import components.preprocess.run
import components.train.board.events
import components.train.board.pictures
import components.train.run  # noqa: F401
from components.core.framework import load_keras

load_keras()
