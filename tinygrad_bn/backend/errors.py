"""What can go wrong with the choice of a backend."""


class UnknownBackendError(ValueError):
    """No backend has the name that was asked for."""


class BackendUnavailableError(ImportError):
    """A known backend cannot run here: a package, a driver or a device is missing."""


class BackendMismatchError(ValueError):
    """One operation was given tensors of two backends."""
