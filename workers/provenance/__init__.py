"""What finished pictures say of where they come from: signed content credentials, and how they were made where that is wanted."""
