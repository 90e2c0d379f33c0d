"""`pipeline.loader.mosaic` where torchvision does not fit torch, as in development: for tests, and for their spawned
workers, which import this module before they unpickle a dataset. Importing it imports the real mosaicml-streaming."""

from tests.real_streaming import import_streaming

import_streaming()

from pipeline.loader import mosaic  # noqa: E402  # needs what the line above defines


class Ordered(mosaic.OrderedStreamingDataset):
    """A user's subclass."""
