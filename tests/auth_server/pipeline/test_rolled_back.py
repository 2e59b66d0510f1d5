"""Nobody is let in while the log is known to have been rolled back."""


def test_nobody_is_let_in_while_the_log_is_rolled_back(site):
    site.login(password="Wrong horse 7")
    site.services.housekeeping.run()
    with site.services.database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM access_logs")
    site.services.housekeeping.run()
    reply = site.login()
    assert (reply.status_code, reply.json["reason"]) == (503, "unavailable")
    assert reply.headers["Retry-After"] == "60"
    assert (site.last_row()["success"], site.last_row()["reason"]) == (False, "unavailable")
    site.services.housekeeping.checkpoints.accept_restore(site.services.audit, site.time.now())
    site.services.housekeeping.run()
    assert site.login().status_code == 200
