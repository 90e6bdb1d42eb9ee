\set age random(18, 90)
insert into people (name, email, age) values (:name, :email, :age);
