import unittest

from application import greeting


class Greeting(unittest.TestCase):
    def test_noon_is_the_afternoon(self):
        self.assertEqual([greeting(11), greeting(12)], ["Good morning", "Good afternoon"])
