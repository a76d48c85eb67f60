"""Keeps an instance's objects in its own temporary folder.

LocalStack 4.9 puts those of every instance on the machine into one folder under /tmp, where they overwrite each other.
"""

import os
import tempfile

from localstack.runtime import hooks


@hooks.on_infra_start()
def objects_of_its_own():
    from localstack.services.s3 import provider

    provider.DEFAULT_S3_TMP_DIR = os.path.join(tempfile.gettempdir(), "s3")
