"""Who gets in: roles, identities, API tokens, logins and their sessions."""
