print("Good morning.")
